//! Who chooses a gateway's codes: the planner, by what the far end reports, or an operator.

use maelstrom::fec::Code;
use maelstrom::gateway::coding::Built;
use maelstrom::gateway::{Blueprint, Coding, Steward};
use maelstrom::link::adapt::{Answer, Policy};

use crate::ledger::Sender;

/// What is wanted of the code, and how long it takes to find and to make one.
#[derive(Clone, Debug)]
pub struct Plan {
    /// None leaves it to an operator.
    pub policy: Option<Policy>,
    pub planning: u64,
    pub building: u64,
}

/// See the module's head.
pub struct Auto {
    blueprint: Blueprint,
    plan: Plan,
    coding: Coding,
    answer: Option<(u64, Answer)>,
    built: Option<(u64, Built)>,
}

impl Auto {
    pub fn new(blueprint: &Blueprint, plan: &Plan) -> Auto {
        Auto {
            blueprint: blueprint.clone(),
            plan: plan.clone(),
            coding: Coding::new(blueprint.clone(), plan.policy.clone(), None),
            answer: None,
            built: None,
        }
    }

    /// How often the code was changed.
    pub fn changes(&self) -> u64 {
        self.coding.changes().0
    }

    /// An operator wants this code.
    pub fn order(&mut self, now: u64, code: &Code, steward: &Steward) {
        let answer = self.coding.order(now, code, steward);
        let small = answer.as_ref().is_err_and(|why| why.contains("room for"));
        assert!(small || answer.is_err() == self.coding.is_auto(), "{answer:?}");
    }

    /// Takes a turn once the steward has taken his.
    pub fn step(&mut self, now: u64, steward: &mut Steward, sender: &mut Sender) {
        let Auto { blueprint, plan, coding, answer, built } = self;
        coding.step(now, steward, &mut ());
        if let Some((_, answer)) = answer.take_if(|(at, _)| *at <= now) {
            coding.answered(now, Some(answer));
        }
        if let Some(question) = coding.take_question(now) {
            *answer = Some((now + plan.planning, question.answer()));
        }
        if let Some((_, built)) = built.take_if(|(at, _)| *at <= now) {
            coding.built(built, &mut ());
        }
        if let Some(build) = coding.take_build(steward) {
            let code = coding.code();
            let (room, config) = (blueprint.room(), blueprint.encoder_for(code));
            assert!(code.span() <= room.span, "{code} is too long for {room:?}");
            assert!(config.memory_bytes() <= room.bytes, "{code} is too large for {room:?}");
            if let Some(policy) = &plan.policy {
                let dear = code.overhead() > policy.overhead_limit + 1e-9;
                assert!(!dear || *code == policy.floor, "{code} costs more than is allowed");
            }
            sender.switch(code.layers().len());
            *built = Some((now + plan.building, build.run()));
        }
    }
}
