//! Going back, and looking at the past, on the toy machine.

use super::sessions::Session;

#[test]
fn who_wrote_finds_the_last_write_and_stays() {
    let mut session = Session::with_history();
    session.check(
        "> run-to 60
         ?
         > who-wrote worker_pools[0].nr_workers
         ?
         > who-wrote --go worker_pools[0].nr_workers
         ?
         > history worker_pools[0].nr_workers
         ?
         > goto end
         ?
         > info history
         ?
         > reverse-stepi
         ?
         > reverse-step
         ?
         > reverse-next
         ?
         > reverse-finish
         ?
         > checkpoints
         ",
    );
}
