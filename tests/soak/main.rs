//! The long tests: `make soak` runs them; they need minutes and a quiet machine, nothing else.

use fitbridge_tests::kill_rounds;

#[test]
fn two_hundred_kills_lose_and_double_nothing() {
    kill_rounds(200, 200, 0x50_a4);
}
