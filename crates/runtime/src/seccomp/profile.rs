//! The OCI form of a profile (`linux.seccomp` of the runtime specification), checked.

use crate::error::{Error, ErrorKind, Result};
use serde::Deserialize;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Kill the process.
    KillProcess,
    /// Kill the thread.
    KillThread,
    /// Send SIGSYS.
    Trap,
    /// Fail with this errno.
    Errno(u16),
    /// Ask a tracer.
    Trace(u16),
    /// Allow and log.
    Log,
    /// Allow.
    Allow,
}

/// Comparison of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Operator {
    /// Not equal.
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    /// Less than.
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    /// At most.
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    /// Equal.
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    /// At least.
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    /// Greater than.
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    /// `argument & value == value_two`.
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arg {
    /// 0 to 5.
    pub index: u32,
    /// Compared with, or the mask.
    pub value: u64,
    /// Compared with after masking.
    #[serde(default)]
    pub value_two: u64,
    /// How.
    pub op: Operator,
}

/// What to do with some calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyscallRule {
    /// Names; those an architecture does not have are skipped.
    pub names: Vec<String>,
    /// What to do.
    pub action: Action,
    /// All must hold; several on one argument are alternatives, as in runc.
    pub args: Vec<Arg>,
}

/// A checked profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// For calls no rule matches.
    pub default: Action,
    /// Filter 32-bit x86 calls too (else they kill).
    pub i386: bool,
    /// Filter x32 calls too (else they kill).
    pub x32: bool,
    /// In order.
    pub rules: Vec<SyscallRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    listener_path: String,
    #[serde(default)]
    syscalls: Vec<DocumentRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentRule {
    #[serde(default)]
    names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
}

fn action(name: &str, errno: Option<u16>) -> Result<Action> {
    Ok(match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_ERRNO" => Action::Errno(errno.unwrap_or(libc::EPERM as u16)),
        "SCMP_ACT_TRACE" => Action::Trace(errno.unwrap_or(libc::EPERM as u16)),
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_NOTIFY" => {
            let text = "seccomp profile: SCMP_ACT_NOTIFY needs a listener, which is not supported";
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        other => return Err(Error::invalid(format!("seccomp profile: unknown action {other:?}"))),
    })
}

impl Profile {
    /// Reads the JSON form. Fields of the Docker form (`archMap`, `includes`) are unknown here, as
    /// they are to runc.
    pub fn parse(json: &str) -> Result<Profile> {
        let document: Document = serde_json::from_str(json)
            .map_err(|e| Error::invalid(format!("cannot load seccomp profile: {e}")))?;
        if !document.listener_path.is_empty() {
            return Err(Error::new(ErrorKind::Unsupported, "seccomp profile: listenerPath is not supported"));
        }
        // The flags change logging and speculation only; the kernel's defaults are the safe ones.
        for flag in &document.flags {
            if !matches!(
                flag.as_str(),
                "SECCOMP_FILTER_FLAG_TSYNC" | "SECCOMP_FILTER_FLAG_LOG" | "SECCOMP_FILTER_FLAG_SPEC_ALLOW"
            ) {
                return Err(Error::invalid(format!("seccomp profile: unknown flag {flag:?}")));
            }
        }
        let has = |arch: &str| document.architectures.iter().any(|a| a == arch);
        let mut rules = Vec::new();
        for rule in document.syscalls {
            let args = rule.args.unwrap_or_default();
            if let Some(arg) = args.iter().find(|a| a.index > 5) {
                return Err(Error::invalid(format!("seccomp profile: argument index {}", arg.index)));
            }
            rules.push(SyscallRule {
                names: rule.names,
                action: action(&rule.action, rule.errno_ret)?,
                args,
            });
        }
        Ok(Profile {
            default: action(&document.default_action, document.default_errno_ret)?,
            i386: has("SCMP_ARCH_X86"),
            x32: has("SCMP_ARCH_X32"),
            rules,
        })
    }
}
