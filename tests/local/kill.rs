//! `kill -9` at random moments. The two hundred of `make soak` are in the other test binary.

use fitbridge_tests::kill_rounds;

#[test]
fn ten_kills_lose_and_double_nothing_and_the_rerun_goes_on_at_once() {
    kill_rounds(10, 200, 0xdead);
}
