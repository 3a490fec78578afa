def page(comparison: object) -> str:
    return ""
