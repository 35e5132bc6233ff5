"""Templates, by which pages and cards are written."""

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def environment(package: str) -> Environment:
    """Give the templates in a package's folder `templates`.

    A value that is not given is an error. Into HTML (`.html.j2`) values are filled in escaped, into
    Markdown as they are.
    """
    return Environment(
        loader=PackageLoader(package),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
