"""Reports for people: scores, examples and training curves as one HTML file that needs nothing else."""

from roadseg.reporting.content import Content, read_content
from roadseg.reporting.examples import Example, make_example
from roadseg.reporting.page import write_page

__all__ = ["Content", "Example", "make_example", "read_content", "write_page"]
