"use strict";
(() => {
  const form = document.querySelector("form");
  const input = form.querySelector("input[type=file]");
  const trouble = document.getElementById("trouble");
  const answer = document.getElementById("answer");
  const progress = document.getElementById("progress");
  const button = form.querySelector("button");
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

  // The page stays, and only what was found is replaced, so that the image stays chosen: the browser has it, and sends
  // it anew with each search. Without scripts the form is sent as ever, and the image is to be chosen again.
  async function search() {
    button.disabled = true;
    progress.textContent = "Searching; the first search by an encoder builds it.";
    try {
      const response = await fetch(form.getAttribute("action"), { method: "POST", body: new FormData(form) });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const problem = page.getElementById("trouble");
      say(problem ? problem.textContent : `The search failed (status ${response.status}): see what the demo printed.`);
      answer.replaceChildren(...(page.getElementById("answer")?.childNodes ?? []));
      document.getElementById("found")?.focus();
    } catch (error) {
      say(`The search failed (${error.message}): does the demo still run, and is the image still there?`);
    } finally {
      button.disabled = false;
      progress.textContent = "";
    }
  }

  // Whoever begins a text means it, and not the image that is still chosen; and the other way round.
  const text = form.querySelector("input[name=text]");

  function chosen() {
    if (text && input.files.length) text.value = "";
    tooLarge();
  }

  text?.addEventListener("input", () => {
    if (text.value) input.value = "";
  });
  input.addEventListener("change", chosen);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!tooLarge()) search();
  });

  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      form.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) {
        input.files = event.dataTransfer.files;
        chosen();
      }
    });
  }
})();
