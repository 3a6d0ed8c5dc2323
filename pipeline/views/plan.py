"""What a difference of two runs needs to be told apart, in plain lines."""

from tabulate import tabulate

from pipeline.results.planning import Need, Plan, Wanted
from pipeline.retrieval.uncertainty import Population

# What could have been others, and of what there must then be so many.
ABOUT: dict[Population, str] = {
    "classes": "other classes, each with its images",
    "images": "other images of these classes",
    "queries": "other queries, against this gallery",
}


def in_words(plan: Plan, wanted: Wanted, *, title: str, metric: str = "mAP") -> str:
    """Return a plan as text: what was observed, what is needed, and how sure that is."""
    lines = [
        f"{title}: {size_of(plan)}",
        "",
        observed(plan, wanted),
        "",
        f"To tell {wanted.difference:g} of {metric} apart with power {wanted.power:g} takes, with ranges in brackets,",
        "by the paired t test, two-sided at the level 0.05:",
        *needs(plan),
    ]
    if plan.sufficient:
        table = [
            ["images per class", *(f"{images:,}" for images in plan.sufficient)],
            ["classes", *(f"{classes:,}" for classes in plan.sufficient.values())],
        ]
        lines += ["", "Over other classes, these suffice:", tabulate(table, tablefmt="plain", disable_numparse=True)]
    return "\n".join([*lines, "", caution(plan)])


def size_of(plan: Plan) -> str:
    """Return how large the dataset is."""
    queries = f"{plan.parts['queries'].units:,} queries"
    if "classes" not in plan.parts:
        return queries
    classes = f"{plan.parts['classes'].units:,} classes, {queries}"
    return classes if plan.images_per_class is None else f"{classes}, {plan.images_per_class:.4g} images per class"


def observed(plan: Plan, wanted: Wanted) -> str:
    """Return a table of the difference, its interval, and the least that would be told apart, by population."""
    rows = [
        (ABOUT[name], f"{part.difference:+.4f}", f"[{part.low:+.4f}, {part.high:+.4f}]", f"{part.least:.4f}")
        for name, part in plan.parts.items()
    ]
    columns = ("over", "difference", "95 % interval", f"told apart at power {wanted.power:g}")
    return tabulate(rows, headers=columns, disable_numparse=True)


def needs(plan: Plan) -> list[str]:
    """Return how many units are needed, a line each."""
    lines = []
    for name, part in plan.parts.items():
        what, each = str(name), 1
        if name == "classes" and plan.images_per_class is not None:
            what = f"classes of {plan.images_per_class:.4g} images"
        elif name == "images" and "classes" in plan.parts:
            what, each = "images per class", plan.parts["classes"].units
        lines.append(f"- over {ABOUT[name]}: {counted(part.needed, what, each=each)}")
        if name == "classes" and plan.images_needed is not None:
            lines.append(f"  or, with {part.units:,} classes, {of_images(plan.images_needed)}")
    return lines


def of_images(need: Need) -> str:
    """Return how many images per class are needed with as many classes as there are."""
    if need.number is not None:
        return counted(need, "images per class")
    range_of = "" if need.low is None else f" ({need.low:,} to no number)"
    return f"no number of images is enough{range_of}: the classes themselves differ too much"


def counted(need: Need, what: str, *, each: int = 1) -> str:
    """Return a number and its range, by classes of which there are ``each``."""
    low, number, high = (
        "no number" if one is None else f"{-(-one // each):,}" for one in (need.low, need.number, need.high)
    )
    return f"{number} {what} ({low} to {high})"


def caution(plan: Plan) -> str:
    """Return how sure the numbers are."""
    name = next(iter(plan.parts))
    said = (
        f"These are estimates from {plan.parts[name].units:,} {name}, and uncertain themselves: the ranges are "
        "those of the 95 % intervals of the variances, by chi-square."
    )
    if plan.components is not None and plan.components.between == 0:
        said += " The variance between classes is estimated as 0: none is seen beyond that of their images."
    missing = [name for name in ABOUT if name not in plan.parts]
    if missing:
        said += f" There are too few {' and '.join(missing)}, or left_out is false in conf/evaluate.yaml."
    return said
