//! The vocabulary every API object shares: names, versions, Status, selectors, quantities, field paths and errors, patches. Pure.
