//! Everything that a run consists of, as data, and the check that it is valid.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::action::{Piece, TokenId};
use crate::bounds::{MAX_PLAN_BYTES, MAX_UNDER_WAY};
use crate::{Action, ActionProblem, BalancerSpec, ClientSpec, Name, RequestId, Topology, TopologyProblem};

/// The maximum number of steps in a plan.
pub const MAX_STEPS: usize = 100_000;

/// A run to be performed: the specification of the world, and the actions that it is asked to perform.
///
/// A script produces a plan, and a run file contains one. The same plan on the same arm gives the same trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The seed of everything random in the run.
    pub seed: u64,
    /// The balancer between the clients and the servers.
    pub balancer: BalancerSpec,
    /// The domain, the servers and the links.
    pub topology: Topology,
    /// The steps, in order.
    pub steps: Vec<Action>,
}

/// The reason why a plan is not valid in any world.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No world can be built from the plan's topology.
    #[error("the topology is not valid: {0}")]
    Topology(TopologyProblem),
    /// A step of the plan is not valid.
    #[error("{problem}")]
    Step {
        /// The index of the step, from 0.
        step: usize,
        /// The problem of the step.
        problem: StepProblem,
    },
}

/// The reason why a step of a plan is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepProblem {
    /// A client with this name, or a request or token with this id, exists already.
    #[error("`{0}` exists already: choose another name or id")]
    Duplicate(String),
    /// The step refers to something that a later step creates.
    #[error("`{0}` does not exist yet: a later step creates it")]
    Later(String),
    /// The step refers to something that no step creates.
    #[error("`{0}` does not exist: no step creates it")]
    Unknown(String),
    /// A request is awaited for a second time.
    #[error("an earlier step already waits for `{0}`: a request has only one answer")]
    AwaitedTwice(RequestId),
    /// The token belongs to a client without credentials, which never has one.
    #[error("`{token}` does not exist: `{client}` has no credentials from which to make a token")]
    NoCredentials {
        /// The id of the token.
        token: TokenId,
        /// The name of the client.
        client: Name,
    },
    /// No plan may ask for this action.
    #[error(transparent)]
    Action(#[from] ActionProblem),
    /// Too many requests are started and not yet awaited.
    #[error("{MAX_UNDER_WAY} requests are already under way: wait for some of them before this one starts")]
    TooManyUnderWay,
    /// The steps up to this one contain more text than a plan may.
    #[error("the steps of a plan can hold at most {MAX_PLAN_BYTES} bytes of text, and this step exceeds that")]
    TooMuchText,
    /// The plan has more than [`MAX_STEPS`] steps.
    #[error("a plan can have at most {MAX_STEPS} steps")]
    TooMany,
}

impl Plan {
    /// Checks that a world can be built from the topology, that each step is one that a plan may ask for
    /// ([`Action::check`]), that each step refers only to results of earlier steps, and that ids are unique. Only the
    /// world that performs the plan knows whether hosts and the balancer exist.
    ///
    /// # Errors
    /// [`PlanError`] names the topology, or the first step that is not valid.
    pub fn check(&self) -> Result<(), PlanError> {
        self.topology.check().map_err(PlanError::Topology)?;
        let mut check = Check::default();
        for (step, action) in self.steps.iter().enumerate() {
            let checked = if step < MAX_STEPS { check.step(action) } else { Err(StepProblem::TooMany) };
            checked.map_err(|problem| PlanError::Step { step, problem: self.later(step, problem) })?;
        }
        Ok(())
    }

    /// Turns the error about something unknown into the error that says that a later step creates it, if a later step
    /// does so.
    fn later(&self, step: usize, problem: StepProblem) -> StepProblem {
        let StepProblem::Unknown(name) = &problem else { return problem };
        let brings = |action: &Action| match action {
            Action::AddClient(client) => client.name.as_str() == name,
            Action::Start { id, .. } => id.to_string() == *name,
            Action::Crowd(crowd) => {
                name.strip_prefix('r').is_some_and(|id| id.parse().is_ok_and(|id| crowd.has(RequestId(id))))
            }
            Action::MakeToken { id, .. } => id.to_string() == *name,
            _ => false,
        };
        if self.steps[step..].iter().any(brings) { StepProblem::Later(name.clone()) } else { problem }
    }
}

/// The things that the steps so far have created.
#[derive(Default)]
struct Check {
    /// The clients, and whether each has credentials.
    clients: BTreeMap<Name, bool>,
    /// The requests, and whether each was awaited.
    requests: BTreeMap<RequestId, bool>,
    /// The tokens that exist. `no_tokens` has the tokens that the client could not make, with the client.
    tokens: BTreeSet<TokenId>,
    no_tokens: BTreeMap<TokenId, Name>,
    /// The number of requests that were started and not awaited.
    under_way: usize,
    /// The size of the steps, in bytes.
    weight: usize,
}

impl Check {
    fn step(&mut self, action: &Action) -> Result<(), StepProblem> {
        action.check()?;
        self.weight += action.weight();
        if self.weight > MAX_PLAN_BYTES {
            return Err(StepProblem::TooMuchText);
        }
        match action {
            Action::AddClient(spec) => self.add_client(spec),
            Action::Start { id, request } => {
                self.client(&request.client)?;
                self.start(*id)
            }
            Action::Crowd(crowd) => {
                crowd.clients.iter().try_for_each(|client| self.client(client).map(drop))?;
                crowd.ids().try_for_each(|id| self.start(id))
            }
            Action::Await(id) => {
                let awaited = self.requests.get_mut(id).ok_or_else(|| StepProblem::Unknown(id.to_string()))?;
                if std::mem::replace(awaited, true) {
                    return Err(StepProblem::AwaitedTwice(*id));
                }
                self.under_way -= 1;
                Ok(())
            }
            Action::MakeToken { id, client } => self.make_token(*id, client),
            Action::SendRaw(raw) => {
                self.client(&raw.client)?;
                raw.bytes.iter().try_for_each(|piece| self.piece(piece))
            }
            Action::Disconnect(client) => self.client(client).map(drop),
            Action::SwitchUser(client, _) => {
                self.client(client)?;
                self.clients.insert(client.clone(), true);
                Ok(())
            }
            // Only the world knows which hosts exist.
            Action::Advance(_)
            | Action::AwaitChecks(_)
            | Action::Drain(_)
            | Action::Undrain(_)
            | Action::Configure(_)
            | Action::Fault(_) => Ok(()),
        }
    }

    fn add_client(&mut self, spec: &ClientSpec) -> Result<(), StepProblem> {
        if let Some(at) = &spec.at {
            self.client(at)?;
        }
        unique(self.clients.insert(spec.name.clone(), spec.identity.is_some()).is_none(), &spec.name)
    }

    fn start(&mut self, id: RequestId) -> Result<(), StepProblem> {
        if self.under_way == MAX_UNDER_WAY {
            return Err(StepProblem::TooManyUnderWay);
        }
        self.under_way += 1;
        unique(self.requests.insert(id, false).is_none(), &id)
    }

    fn make_token(&mut self, id: TokenId, client: &Name) -> Result<(), StepProblem> {
        if self.client(client)? {
            unique(!self.no_tokens.contains_key(&id) && self.tokens.insert(id), &id)
        } else {
            let taken = self.tokens.contains(&id) || self.no_tokens.insert(id, client.clone()).is_some();
            unique(!taken, &id)
        }
    }

    fn piece(&self, piece: &Piece) -> Result<(), StepProblem> {
        let Piece::Token(token) = piece else { return Ok(()) };
        if let Some(client) = self.no_tokens.get(token) {
            return Err(StepProblem::NoCredentials { token: *token, client: client.clone() });
        }
        if self.tokens.contains(token) { Ok(()) } else { Err(StepProblem::Unknown(token.to_string())) }
    }

    /// Returns whether the client has credentials.
    fn client(&self, name: &Name) -> Result<bool, StepProblem> {
        self.clients.get(name).copied().ok_or_else(|| StepProblem::Unknown(name.to_string()))
    }
}

fn unique(fresh: bool, id: &impl std::fmt::Display) -> Result<(), StepProblem> {
    if fresh { Ok(()) } else { Err(StepProblem::Duplicate(id.to_string())) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::action::CrowdSpec;
    use crate::{Identity, Payload, Principal, Profile, RawSpec, RequestSpec, standard};

    fn client(name: &str, logs_on: bool) -> Action {
        let identity = || Identity { principal: Principal::new("CORP", name), password: "x".into() };
        Action::AddClient(ClientSpec::new(name.into(), Profile::BROWSER, logs_on.then(identity)))
    }

    fn start(id: u32, client: &str) -> Action {
        Action::Start { id: RequestId(id), request: RequestSpec::new(client.into(), "GET", "/") }
    }

    fn crowd(clients: &[&str], first: u32, requests: u32) -> Action {
        let clients = clients.iter().map(|&client| Name::from(client)).collect();
        let (first, think) = (RequestId(first), Duration::from_millis(5));
        Action::Crowd(CrowdSpec { clients, first, requests, think, path: "/".into() })
    }

    fn token(id: u32, client: &str) -> Action {
        Action::MakeToken { id: TokenId(id), client: client.into() }
    }

    fn send(client: &str, token: u32) -> Action {
        let bytes = vec![Piece::Text("Authorization: ".into()), Piece::Token(TokenId(token))];
        Action::SendRaw(RawSpec { client: client.into(), bytes, patience: Duration::from_secs(1) })
    }

    fn checked(steps: Vec<Action>) -> Result<(), String> {
        let topology = standard::site(2);
        let plan = Plan { seed: 0, balancer: BalancerSpec::named("l4-nat"), topology, steps };
        plan.check().map_err(|error| match error {
            PlanError::Step { step, problem } => format!("{step}: {problem}"),
            PlanError::Topology(_) => error.to_string(),
        })
    }

    fn wrong(steps: Vec<Action>) -> String {
        checked(steps).expect_err("this plan makes no sense")
    }

    #[test]
    fn a_plan_that_makes_sense_passes() {
        let steps = vec![
            client("alice", true),
            client("mallory", false),
            start(7, "alice"),
            token(1, "alice"),
            send("mallory", 1),
            Action::Await(RequestId(7)),
            Action::SwitchUser(
                "mallory".into(),
                Identity { principal: Principal::new("A", "b"), password: "c".into() },
            ),
            token(2, "mallory"),
            send("alice", 2),
        ];
        assert_eq!(checked(steps), Ok(()));
    }

    #[test]
    fn names_and_ids_are_unique() {
        assert_eq!(
            wrong(vec![client("alice", true), client("alice", true)]),
            "1: `alice` exists already: choose another name or id"
        );
        let twice = wrong(vec![client("a", true), start(3, "a"), start(3, "a")]);
        assert_eq!(twice, "2: `r3` exists already: choose another name or id");
        for (first, second) in [(true, true), (true, false), (false, true), (false, false)] {
            let twice = wrong(vec![client("a", first), client("b", second), token(1, "a"), token(1, "b")]);
            assert_eq!(twice, "3: `t1` exists already: choose another name or id");
        }
    }

    #[test]
    fn what_is_referred_to_was_there_before() {
        assert_eq!(wrong(vec![start(1, "alice")]), "0: `alice` does not exist: no step creates it");
        let later = wrong(vec![client("a", true), Action::Await(RequestId(4)), start(4, "a")]);
        assert_eq!(later, "1: `r4` does not exist yet: a later step creates it");
        let token_later = wrong(vec![client("a", true), send("a", 1), token(1, "a")]);
        assert_eq!(token_later, "1: `t1` does not exist yet: a later step creates it");
        assert_eq!(wrong(vec![client("a", true), send("a", 9)]), "1: `t9` does not exist: no step creates it");
    }

    #[test]
    fn a_request_is_waited_for_once() {
        let await_it = || Action::Await(RequestId(1));
        let twice = wrong(vec![client("a", true), start(1, "a"), await_it(), await_it()]);
        assert_eq!(twice, "3: an earlier step already waits for `r1`: a request has only one answer");
    }

    #[test]
    fn the_requests_of_a_crowd_are_as_any_others() {
        let both = || vec![client("a", true), client("b", false), crowd(&["a", "b"], 3, 2)];
        let then = |more: Vec<Action>| [both(), more].concat();
        assert_eq!(checked(then((3..=6).map(|id| Action::Await(RequestId(id))).collect())), Ok(()));
        assert_eq!(wrong(then(vec![Action::Await(RequestId(7))])), "3: `r7` does not exist: no step creates it");
        assert_eq!(wrong(then(vec![start(6, "a")])), "3: `r6` exists already: choose another name or id");
        assert_eq!(wrong(then(vec![crowd(&["a"], 6, 1)])), "3: `r6` exists already: choose another name or id");
        assert_eq!(wrong(vec![crowd(&["c"], 1, 1)]), "0: `c` does not exist: no step creates it");
        let early = wrong(vec![client("a", true), Action::Await(RequestId(2)), crowd(&["a"], 1, 2)]);
        assert_eq!(early, "1: `r2` does not exist yet: a later step creates it");
        let many = wrong(then(vec![crowd(&["a", "b"], 10, 4_999)]));
        assert!(many.starts_with("3: 10000 requests are already under way"), "{many}");
    }

    #[test]
    fn a_request_is_one_that_a_user_agent_sends() {
        let headers = vec![("Transfer-Encoding".to_owned(), "chunked".to_owned())];
        let request = RequestSpec { headers, ..RequestSpec::new("a".into(), "GET", "/") };
        let own = wrong(vec![client("a", true), Action::Start { id: RequestId(1), request }]);
        assert!(
            own.starts_with("1: a request cannot set the field `Transfer-Encoding`: it frames the message"),
            "{own}"
        );
    }

    #[test]
    fn a_client_that_never_logs_on_has_no_token() {
        let nobody = wrong(vec![client("mallory", false), token(1, "mallory"), send("mallory", 1)]);
        assert_eq!(nobody, "2: `t1` does not exist: `mallory` has no credentials from which to make a token");
    }

    #[test]
    fn the_number_of_steps_is_bounded() {
        let steps = vec![Action::Advance(Duration::ZERO); MAX_STEPS + 1];
        assert_eq!(wrong(steps), format!("{MAX_STEPS}: a plan can have at most {MAX_STEPS} steps"));
    }

    #[test]
    fn the_requests_under_way_are_bounded() {
        let most = MAX_UNDER_WAY as u32;
        let mut steps = vec![client("a", true)];
        steps.extend((1..=most).map(|id| start(id, "a")));
        assert_eq!(checked([&steps[..], &[Action::Await(RequestId(7)), start(most + 1, "a")]].concat()), Ok(()));
        let many = wrong([&steps[..], &[start(most + 1, "a")]].concat());
        assert!(many.starts_with("10001: 10000 requests are already under way"), "{many}");
    }

    #[test]
    fn the_text_of_all_steps_is_bounded() {
        let post = |id| {
            let body = Payload::Text("x".repeat(1 << 20));
            Action::Start {
                id: RequestId(id),
                request: RequestSpec { body, ..RequestSpec::new("a".into(), "POST", "/") },
            }
        };
        let steps = |count| std::iter::once(client("a", true)).chain((1..=count).map(post)).collect();
        assert_eq!(checked(steps(63)), Ok(()));
        assert_eq!(
            wrong(steps(64)),
            "64: the steps of a plan can hold at most 67108864 bytes of text, and this step exceeds that"
        );
    }

    #[test]
    fn a_topology_is_one_that_a_world_can_be_built_from() {
        let plan = Plan {
            seed: 0,
            balancer: BalancerSpec::named("l4-nat"),
            topology: Topology::default(),
            steps: vec![Action::Await(RequestId(1))],
        };
        let error = plan.check().expect_err("it has no server");
        assert_eq!(error, PlanError::Topology(TopologyProblem::Servers(0)));
    }

    #[test]
    fn a_step_is_one_that_a_plan_may_ask_for() {
        let long = wrong(vec![client("a", true), Action::Advance(Duration::MAX)]);
        assert!(long.starts_with("1: the time to pass is "), "{long}");
        assert!(wrong(vec![client("a b", true)]).starts_with("0: `a b` is not a valid name"));
    }

    #[test]
    fn a_plan_can_be_read_back() {
        let bytes = vec![Piece::Bytes(vec![0, 0x7f, 0xff])];
        let raw = Action::SendRaw(RawSpec { client: "alice".into(), bytes, patience: Duration::from_secs(1) });
        let steps = vec![client("alice", true), token(1, "alice"), send("alice", 1), start(2, "alice"), raw];
        let plan = Plan { seed: 3, balancer: BalancerSpec::named("l4-nat"), topology: Topology::default(), steps };
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
        assert!(json.contains(r#"{"bytes":"007fff"}"#), "{json}");
        for wrong in ["\"007ff\"", "\"007fzz\"", "\"+1\"", "[0,127,255]"] {
            assert!(serde_json::from_str::<Plan>(&json.replace("\"007fff\"", wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn unknown_fields_are_refused_wherever_they_stand() {
        let plan = Plan {
            seed: 3,
            balancer: BalancerSpec::named("l4-nat"),
            topology: standard::site(1),
            steps: vec![
                client("alice", true),
                start(2, "alice"),
                crowd(&["alice"], 3, 1),
                token(1, "alice"),
                send("alice", 1),
            ],
        };
        let json = serde_json::to_value(&plan.topology).unwrap();
        assert!(serde_json::from_value::<Topology>(json.clone()).is_ok());
        assert!(accepted_with_a_field::<Topology>(&json).is_empty(), "{:?}", accepted_with_a_field::<Topology>(&json));
        for step in &plan.steps {
            let json = serde_json::to_value(step).unwrap();
            assert_eq!(serde_json::from_value::<Action>(json.clone()).unwrap(), *step);
            assert!(accepted_with_a_field::<Action>(&json).is_empty(), "{:?}", accepted_with_a_field::<Action>(&json));
        }
    }

    /// Returns the places (JSON pointers) of the objects that accept an additional field.
    fn accepted_with_a_field<T: serde::de::DeserializeOwned>(json: &serde_json::Value) -> Vec<String> {
        let (mut accepted, mut places) = (Vec::new(), vec![String::new()]);
        while let Some(place) = places.pop() {
            let mut more = json.clone();
            match more.pointer_mut(&place).unwrap() {
                serde_json::Value::Object(object) => {
                    places.extend(object.keys().map(|key| format!("{place}/{key}")));
                    object.insert("surplus".into(), 1.into());
                    if serde_json::from_value::<T>(more).is_ok() {
                        accepted.push(place);
                    }
                }
                serde_json::Value::Array(list) => {
                    places.extend((0..list.len()).map(|index| format!("{place}/{index}")));
                }
                _ => {}
            }
        }
        accepted
    }
}
