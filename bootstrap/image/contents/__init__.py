"""What is in a bundle, package by package: listed when it is built, compared with another one's."""
