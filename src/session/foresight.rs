//! Questions that are asked along with a step, before it is done.
//!
//! A debugger asks the same of the task at the end of every step. Each question of its own would cost the step another
//! way to the machine process and back, which takes longer than the step itself. Sent along, they lie in the machine's
//! queue when it stops, and are answered with the stop. One that the machine comes to before that is answered too early:
//! such an answer counts for nothing.

use crate::machine::{Answered, Request};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Foresight {
    questions: Vec<Question>,
}

#[derive(Debug)]
struct Question {
    id: u64,
    request: Request,
    answer: Option<Answered>,
}

/// What is known of the answer to a question.
#[derive(Debug)]
pub(super) enum Recalled {
    /// This is it.
    Answer(Answered),
    /// It was asked, and the answer is under way.
    Coming,
    /// It was not asked, or answered too early.
    Nothing,
}

impl Foresight {
    /// Remembers that a question was asked with this number.
    pub(super) fn expect(&mut self, id: u64, request: Request) {
        self.questions.push(Question { id, request, answer: None });
    }

    /// Takes in an answer; gives it back if it is not to one of these questions. One that did not come from a machine
    /// that is `stopped` is of another moment.
    pub(super) fn take_in(&mut self, id: u64, answer: Answered, stopped: bool) -> Option<Answered> {
        let Some(at) = self.questions.iter().position(|question| question.id == id) else { return Some(answer) };
        if stopped {
            self.questions[at].answer = Some(answer);
        } else {
            self.questions.swap_remove(at);
        }
        None
    }

    /// What is known of the answer to a question. An answer is given again until the next step.
    pub(super) fn recall(&self, request: &Request) -> Recalled {
        let question = self.questions.iter().find(|question| question.request == *request);
        match question.map(|question| &question.answer) {
            Some(Some(answer)) => Recalled::Answer(answer.clone()),
            Some(None) => Recalled::Coming,
            None => Recalled::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use wkdb_tracer::RunnerId;

    use super::*;
    use crate::machine::Answer;

    const QUESTION: Request = Request::StackPointer(RunnerId(3));

    fn asked() -> Foresight {
        let mut foresight = Foresight::default();
        foresight.expect(7, QUESTION);
        foresight
    }

    #[test]
    fn an_answer_of_the_stopped_machine_is_given_as_often_as_it_is_asked_for() {
        let mut foresight = asked();
        assert!(matches!(foresight.recall(&QUESTION), Recalled::Coming));
        assert_eq!(foresight.take_in(7, Ok(Answer::Number(0x40)), true), None);
        for _ in 0..2 {
            assert!(matches!(foresight.recall(&QUESTION), Recalled::Answer(Ok(Answer::Number(0x40)))));
        }
        assert!(matches!(foresight.recall(&Request::StackPointer(RunnerId(4))), Recalled::Nothing));
    }

    #[test]
    fn an_answer_from_before_the_stop_counts_for_nothing() {
        let mut foresight = asked();
        assert_eq!(foresight.take_in(7, Ok(Answer::Number(0x40)), false), None);
        assert!(matches!(foresight.recall(&QUESTION), Recalled::Nothing));
    }

    #[test]
    fn answers_to_other_questions_are_left_to_who_asked() {
        assert_eq!(asked().take_in(8, Ok(Answer::Done), true), Some(Ok(Answer::Done)));
    }
}
