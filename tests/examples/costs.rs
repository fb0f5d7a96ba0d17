//! Prints `docs/COSTS.md`: `cargo run -q -p fitbridge-tests --example costs > docs/COSTS.md`.

fn main() {
    print!("{}", fitbridge_tests::costs::page(&fitbridge_tests::costs::Counted::committed()));
}
