//! Who leads: one Lease per component that must run once, as client-go's leader election has it. The
//! clocks of others are not trusted: what counts is how long the Lease has not changed for us.

use apimachinery::Time;
use serde_json::{Value, json};
use std::time::Duration;

pub const NAMESPACE: &str = "kube-system";
/// How long a leader that says nothing keeps the others waiting.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A leader that could not renew for this long stops: before another one may begin.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Between tries to get or to renew the Lease.
pub const RETRY_PERIOD: Duration = Duration::from_secs(2);
/// Lengthens the pauses of those who wait, so that they do not come together.
pub const JITTER: f64 = 1.2;

/// What to do about the Lease.
#[derive(Debug, PartialEq)]
pub enum Step {
    Create(Value),
    /// Only over exactly the Lease that was seen.
    Update(Value),
    /// Somebody else leads.
    Wait,
}

fn spec(holder: &str, acquired: &Value, now: Time, transitions: u64) -> Value {
    json!({
        "holderIdentity": holder,
        "leaseDurationSeconds": if holder.is_empty() { 1 } else { LEASE_DURATION.as_secs() },
        "acquireTime": acquired,
        "renewTime": now.micro(),
        "leaseTransitions": transitions,
    })
}

fn holder(lease: &Value) -> &str {
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default()
}

/// What changes when a leader renews: while it does not, the Lease runs out.
pub fn renewal(lease: &Value) -> (&str, &str) {
    (holder(lease), lease["spec"]["renewTime"].as_str().unwrap_or_default())
}

/// Gets or renews the Lease `name` for `me`. `unchanged`: since when its [`renewal`] has been the same.
/// `alone`: nobody else can be at work, so that whoever holds it is gone.
pub fn plan(
    lease: Option<&Value>,
    name: &str,
    me: &str,
    unchanged: Duration,
    alone: bool,
    now: Time,
) -> Step {
    let acquired = Value::from(now.micro());
    let Some(lease) = lease else {
        return Step::Create(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": spec(me, &acquired, now, 0),
        }));
    };
    let holder = holder(lease);
    let transitions = lease["spec"]["leaseTransitions"].as_u64().unwrap_or(0);
    let mut new = lease.clone();
    new["spec"] = if holder == me {
        spec(me, &lease["spec"]["acquireTime"], now, transitions)
    } else if holder.is_empty() || alone || unchanged >= LEASE_DURATION {
        spec(me, &acquired, now, transitions + 1)
    } else {
        return Step::Wait;
    };
    Step::Update(new)
}

/// A leader that ends leaves the Lease to whoever comes next; `None` if it is not its.
pub fn release(lease: &Value, me: &str, now: Time) -> Option<Value> {
    let transitions = lease["spec"]["leaseTransitions"].as_u64().unwrap_or(0);
    (holder(lease) == me).then(|| {
        let mut new = lease.clone();
        new["spec"] = spec("", &now.micro().into(), now, transitions);
        new
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_secs(14);

    fn now() -> Time {
        Time::parse("2026-01-01T00:00:00Z").expect("a time")
    }

    fn lease(holder: &str) -> Value {
        json!({"metadata": {"name": "n", "resourceVersion": "7"}, "spec": {"holderIdentity": holder,
            "acquireTime": "then", "renewTime": "before", "leaseTransitions": 3}})
    }

    #[test]
    fn one_leads() {
        let created = plan(None, "n", "me", Duration::ZERO, false, now());
        let Step::Create(first) = created else { panic!("{created:?}") };
        assert_eq!(first["spec"]["leaseDurationSeconds"], 15);
        assert_eq!(first["spec"]["renewTime"], "2026-01-01T00:00:00.000000Z");
        // holder, unchanged for, alone -> acquireTime and transitions, or waiting
        let micro = "2026-01-01T00:00:00.000000Z";
        let cases = [
            ("me", SHORT, false, Some(("then", 3))),
            ("other", SHORT, false, None),
            ("other", LEASE_DURATION, false, Some((micro, 4))),
            ("other", Duration::ZERO, true, Some((micro, 4))),
            ("", Duration::ZERO, false, Some((micro, 4))),
        ];
        for (holder, unchanged, alone, wanted) in cases {
            let step = plan(Some(&lease(holder)), "n", "me", unchanged, alone, now());
            let got = match &step {
                Step::Update(new) => {
                    assert_eq!(
                        (&new["spec"]["holderIdentity"], &new["metadata"]["resourceVersion"]),
                        (&json!("me"), &json!("7"))
                    );
                    Some((
                        new["spec"]["acquireTime"].as_str().unwrap(),
                        new["spec"]["leaseTransitions"].as_u64().unwrap(),
                    ))
                }
                Step::Wait => None,
                Step::Create(_) => panic!("it is there"),
            };
            assert_eq!(got, wanted, "{holder} {unchanged:?} {alone}");
        }
    }

    #[test]
    fn only_the_holder_gives_it_back() {
        let left = release(&lease("me"), "me", now()).expect("ours");
        assert_eq!(
            (&left["spec"]["holderIdentity"], &left["spec"]["leaseDurationSeconds"]),
            (&json!(""), &json!(1))
        );
        assert_eq!(release(&lease("other"), "me", now()), None);
    }
}
