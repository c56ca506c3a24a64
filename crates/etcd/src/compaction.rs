//! Old revisions are given up every few minutes, by whichever API server comes first: they agree on a
//! key as kube-apiservers do. A revision lives for one to two intervals.

use std::sync::Arc;
use std::time::Duration;

use crate::authority::Inner;
use crate::channel::Repeat;
use crate::grpc::{Failure, OUT_OF_RANGE};
use crate::messages::{COMPACT, Compare, Range, TXN, TxnAnswer, TxnOp, compaction, put, txn};

/// Its version counts the rounds.
pub const KEY: &str = "compact_rev_key";

pub async fn run(inner: Arc<Inner>, interval: Duration) {
    // The round we take part in, and the revision that was current when the last one was seen.
    let (mut round, mut revision) = (0, 0);
    loop {
        inner.env.sleep(interval).await;
        match compact(&inner, round, revision).await {
            Ok(next) => (round, revision) = next,
            Err(failure) => tracing::debug!("etcd was not compacted: {failure}"),
        }
    }
}

async fn compact(inner: &Inner, round: u64, revision: u64) -> Result<(u64, u64), Failure> {
    let key = KEY.as_bytes();
    let sign = inner.sign();
    let take = vec![
        TxnOp::Put(put(key, revision.to_string().as_bytes(), 0)),
        // A revision without an event below our root would make consistent reads wait for it.
        TxnOp::Put(put(sign.as_bytes(), b"{}", 0)),
    ];
    let see = vec![TxnOp::Range(Range { key, ..Range::default() }.write())];
    let answer =
        inner.channel.call(TXN, txn(Compare::Version(round).write(key), take, see), Repeat::IfUndone);
    let answer = TxnAnswer::read(answer.await?)?;
    if !answer.succeeded {
        // Somebody else was first; the next round may be ours.
        return Ok((answer.kvs.first().map_or(0, |kv| kv.version), answer.revision));
    }
    if revision > 0 {
        match inner.channel.call(COMPACT, compaction(revision), Repeat::Freely).await {
            // Already done, further than this.
            Err(failure) if failure.code == OUT_OF_RANGE => {}
            done => drop(done?),
        }
    }
    Ok((round + 1, answer.revision))
}
