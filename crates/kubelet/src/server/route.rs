//! The paths of the node service, as the API server asks for them.

use http::{Method, Uri};

/// One container of a Pod (the container is empty for port-forward).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub namespace: String,
    pub pod: String,
    pub container: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    pub since_seconds: Option<i64>,
    pub since_time: String,
    pub tail_lines: Option<usize>,
    pub limit_bytes: Option<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandOptions {
    pub command: Vec<String>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Healthz,
    Pods,
    Metrics,
    Logs(Target, LogOptions),
    Exec(Target, CommandOptions),
    Attach(Target, CommandOptions),
    PortForward(Target, Vec<u16>),
}

/// `None`: no such path, or not with this method.
pub fn parse(method: &Method, uri: &Uri) -> Option<Route> {
    let query: Vec<(String, String)> = uri.query().unwrap_or_default().split('&').filter_map(pair).collect();
    let all =
        |name: &str| query.iter().filter(|(n, _)| n == name).map(|(_, v)| v.clone()).collect::<Vec<_>>();
    let one = |name: &str| all(name).into_iter().next().unwrap_or_default();
    let flag = |name: &str| matches!(one(name).as_str(), "1" | "true" | "True" | "t" | "T" | "TRUE");
    let parts: Vec<String> = uri.path().trim_matches('/').split('/').map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let reads = method == Method::GET;
    let target = |namespace: &str, pod: &str, container: &str| Target {
        namespace: namespace.into(),
        pod: pod.into(),
        container: container.into(),
    };
    let command = || CommandOptions {
        command: all("command"),
        stdin: flag("input"),
        stdout: flag("output"),
        stderr: flag("error"),
        tty: flag("tty"),
    };
    match parts.as_slice() {
        ["healthz"] if reads => Some(Route::Healthz),
        ["pods"] if reads => Some(Route::Pods),
        ["metrics"] if reads => Some(Route::Metrics),
        ["containerLogs", namespace, pod, container] if reads => {
            let options = LogOptions {
                follow: flag("follow"),
                previous: flag("previous"),
                timestamps: flag("timestamps"),
                since_seconds: one("sinceSeconds").parse().ok(),
                since_time: one("sinceTime"),
                tail_lines: one("tailLines").parse().ok(),
                limit_bytes: one("limitBytes").parse().ok(),
            };
            Some(Route::Logs(target(namespace, pod, container), options))
        }
        ["exec", namespace, pod, container] => {
            Some(Route::Exec(target(namespace, pod, container), command()))
        }
        ["attach", namespace, pod, container] => {
            Some(Route::Attach(target(namespace, pod, container), command()))
        }
        ["portForward", namespace, pod] => {
            let ports =
                all("port").iter().flat_map(|p| p.split(',')).filter_map(|p| p.parse().ok()).collect();
            Some(Route::PortForward(target(namespace, pod, ""), ports))
        }
        _ => None,
    }
}

fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (!name.is_empty()).then(|| (decode(name), decode(&value.replace('+', " "))))
}

/// Percent-decoding; a broken escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = (bytes[i] == b'%')
            .then(|| text.get(i + 1..i + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries() {
        let route = |text: &str| parse(&Method::GET, &text.parse().expect("a uri"));
        let Some(Route::Exec(target, options)) =
            route("/exec/default/p/c?command=sh&command=-c&command=echo%20a%2Bb&output=1&tty=1")
        else {
            panic!("an exec")
        };
        assert_eq!((target.pod.as_str(), target.container.as_str()), ("p", "c"));
        assert_eq!(options.command, ["sh", "-c", "echo a+b"]);
        assert!(options.stdout && options.tty && !options.stdin);
        let Some(Route::Logs(_, logs)) = route("/containerLogs/n/p/c?tailLines=5&follow=true") else {
            panic!("logs")
        };
        assert_eq!((logs.tail_lines, logs.follow), (Some(5), true));
        assert_eq!(route("/nope"), None);
    }
}
