"""The only room that touches the operating system or a clock."""
