//! Terminals, attach, log rotation.

use crate::harness::*;
use runtime::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn read_until(stream: &mut Stream, text: &str) -> String {
    let mut all = Vec::new();
    let read = async {
        let mut buffer = [0u8; 4096];
        while !String::from_utf8_lossy(&all).contains(text) {
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "ended before {text:?}: {}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&buffer[..n]);
        }
    };
    tokio::time::timeout(patient(DEADLINE), read).await.unwrap_or_else(|_| panic!("no {text:?}"));
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn exec_with_a_terminal_and_resize() {
    on_node(|node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        node.start(node.shell("c", "p", "sleep 1000")).await.unwrap();
        let spec = ExecSpec {
            container_id: "c".into(),
            args: vec!["sh".into()],
            tty: true,
            stdin: true,
            size: Some((24, 80)),
            ..Default::default()
        };
        let mut handle = node.supervisor.exec(spec).await.unwrap();
        let mut terminal = handle.terminal.take().unwrap();
        terminal.write_all(b"stty size; tty; echo $TERM; echo first-$((1+1))\n").await.unwrap();
        let text = read_until(&mut terminal, "first-2").await;
        assert!(text.contains("24 80") && text.contains("/dev/pts/0") && text.contains("xterm"), "{text}");
        terminal.resize(50, 132).unwrap();
        terminal.write_all(b"stty size; exit 9\n").await.unwrap();
        read_until(&mut terminal, "50 132").await;
        let mut rest = String::new();
        terminal.read_to_string(&mut rest).await.unwrap();
        assert_eq!(handle.wait().await.unwrap().code, 9);
        node
    });
}

#[test]
fn a_container_with_a_terminal() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let mut spec = node.shell("c", "p", "read line; echo got-$line; read x; stty size");
        (spec.tty, spec.stdin) = (true, true);
        node.start(spec).await.unwrap();
        let mut attached = node.supervisor.attach("c", true, true, true).await.unwrap();
        assert!(attached.stderr.is_none());
        let (mut stdin, mut stdout) = (attached.stdin.take().unwrap(), attached.stdout.take().unwrap());
        stdin.write_all(b"hello\n").await.unwrap();
        read_until(&mut stdout, "got-hello").await;
        node.supervisor.resize("c", 30, 100).await.unwrap();
        stdin.write_all(b"\n").await.unwrap();
        read_until(&mut stdout, "30 100").await;
        assert_eq!(node.exit("c").await.code, 0);
        assert!(node.output("c").contains("got-hello"));
        node
    });
}

#[test]
fn stdin_stays_open_or_ends_with_its_client() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        for once in [false, true] {
            let id = if once { "once" } else { "kept" };
            let mut spec = node.shell(id, "p", "cat; echo end");
            (spec.stdin, spec.stdin_once) = (true, once);
            node.start(spec).await.unwrap();
            for word in ["one", "two"] {
                let mut attached = match node.supervisor.attach(id, true, true, false).await {
                    // Its standard input ended with the first client, and so did it.
                    Err(error) if once && word == "two" => {
                        assert!(error.message.ends_with("is not running"), "{error}");
                        continue;
                    }
                    attached => attached.unwrap(),
                };
                let Some(mut stdin) = attached.stdin.take() else { continue };
                stdin.write_all(format!("{word}\n").as_bytes()).await.unwrap();
                read_until(attached.stdout.as_mut().unwrap(), word).await;
            }
            if once {
                assert_eq!(node.exit(id).await.code, 0);
                assert_eq!(node.output(id), "one\nend\n");
            } else {
                assert_eq!(node.output(id), "one\ntwo\n");
                node.supervisor.signal(id, 9, false).await.unwrap();
                node.exit(id).await;
            }
        }
        // Without stdin there is nothing to read and nothing to attach.
        let (_, output) = node.run(node.shell("none", "p", "cat; echo end")).await;
        assert_eq!(output, "end\n");
        node
    });
}

#[test]
fn every_client_sees_output_and_a_slow_one_loses_none() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let script = "read x; i=0; while [ $i -lt 40000 ]; do echo line-$i-abcdefghijklmnopqrstuvwxyz; i=$((i+1)); done";
        let mut spec = node.shell("c", "p", script);
        spec.stdin = true;
        node.start(spec).await.unwrap();
        let mut fast = node.supervisor.attach("c", true, true, false).await.unwrap();
        let mut slow = node.supervisor.attach("c", false, true, false).await.unwrap();
        fast.stdin.take().unwrap().write_all(b"go\n").await.unwrap();
        // The slow one reads only when the fast one can get no further.
        let mut fast_text = String::new();
        let mut slow_text = String::new();
        let (mut a, mut b) = (fast.stdout.take().unwrap(), slow.stdout.take().unwrap());
        let (a, b) = tokio::join!(a.read_to_string(&mut fast_text), b.read_to_string(&mut slow_text));
        a.unwrap();
        b.unwrap();
        assert_eq!(node.exit("c").await.code, 0);
        assert_eq!(fast_text.lines().count(), 40_000);
        assert_eq!(fast_text, slow_text);
        assert_eq!(node.output("c"), fast_text);
        node
    });
}

#[test]
fn a_client_that_does_not_read_stops_the_container_until_it_leaves() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let mut spec =
            node.shell("c", "p", "read x; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo done");
        spec.stdin = true;
        node.start(spec).await.unwrap();
        let mut client = node.supervisor.attach("c", true, true, false).await.unwrap();
        client.stdin.as_mut().unwrap().write_all(b"go\n").await.unwrap();
        until(|| node.log("c").len() > 50_000, "output").await;
        drop(client);
        assert_eq!(node.exit("c").await.code, 0);
        let output = node.output("c");
        assert_eq!(output.len(), 3_000_000 + 6);
        let longest = node.log("c").lines().map(str::len).max().unwrap();
        assert!(longest <= (16 << 10) + 50, "{longest}");
        node
    });
}

#[test]
fn logs_rotate_and_reopen() {
    on_node(|mut node| async move {
        node.sandbox(node.sandbox_spec("p")).await;
        let mut spec = node.shell("c", "p", "i=0; while [ $i -lt 3000 ]; do echo line-$i; i=$((i+1)); done");
        let log = spec.log.as_mut().unwrap();
        (log.max_size, log.max_files) = (20_000, 3);
        node.run(spec).await;
        let mut files: Vec<_> =
            std::fs::read_dir(node.base.join("logs")).unwrap().flatten().map(|e| e.path()).collect();
        files.sort();
        assert_eq!(files.len(), 3, "{files:?}");
        for file in &files {
            assert!(file.metadata().unwrap().len() <= 20_000, "{file:?}");
        }
        assert!(node.log("c").trim_end().ends_with("line-2999"));
        let mut spec = node.shell("d", "p", "echo one; read x; echo two");
        spec.stdin = true;
        node.start(spec).await.unwrap();
        node.wait_output("d", "one").await;
        let path = node.base.join("logs/d");
        std::fs::rename(&path, node.base.join("logs/d.moved")).unwrap();
        node.supervisor.reopen_log("d").await.unwrap();
        let mut client = node.supervisor.attach("d", true, false, false).await.unwrap();
        client.stdin.as_mut().unwrap().write_all(b"\n").await.unwrap();
        node.wait_output("d", "two").await;
        node
    });
}
