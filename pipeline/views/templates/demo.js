"use strict";
(() => {
  const form = document.querySelector("form");
  const input = form.querySelector("input[type=file]");
  const trouble = document.getElementById("trouble");
  const most = Number(form.getAttribute("data-megabytes")); // form.dataset is the field of that name

  function say(problem) {
    trouble.textContent = problem;
    trouble.hidden = !problem;
  }

  function tooLarge() {
    const file = input.files[0];
    const large = file && file.size > most * 2 ** 20;
    say(large ? `The image is larger than ${most} MiB: choose a smaller one.` : "");
    return large;
  }

  input.addEventListener("change", tooLarge);
  form.addEventListener("submit", (event) => {
    if (tooLarge()) event.preventDefault();
    else document.getElementById("progress").textContent = "Searching; the first search by an encoder builds it.";
  });

  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      form.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) {
        input.files = event.dataTransfer.files;
        tooLarge();
      }
    });
  }

  document.getElementById("found")?.focus();
})();
