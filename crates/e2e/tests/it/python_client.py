"""The Python client against a cluster: create, watch, exec, logs, delete. Run by python_client.rs."""

import sys

from kubernetes import client, config, watch
from kubernetes.stream import stream

config.load_kube_config(sys.argv[1])
core = client.CoreV1Api()
container = client.V1Container(
    name="app", image="minke.local/toolbox", image_pull_policy="IfNotPresent", args=["web"])
pod = client.V1Pod(
    metadata=client.V1ObjectMeta(name="python", labels={"made-by": "python"}),
    spec=client.V1PodSpec(containers=[container], termination_grace_period_seconds=1))
created = core.create_namespaced_pod("default", pod)
events = watch.Watch()
for event in events.stream(core.list_namespaced_pod, "default", label_selector="made-by=python",
                           resource_version=created.metadata.resource_version, timeout_seconds=30):
    if event["object"].status.phase == "Running":
        events.stop()
print("phase", core.read_namespaced_pod("python", "default").status.phase)
print("exec", stream(core.connect_get_namespaced_pod_exec, "python", "default",
                     command=["/toolbox", "echo", "over", "websocket"],
                     stdin=False, stdout=True, stderr=True, tty=False).strip())
session = stream(core.connect_get_namespaced_pod_exec, "python", "default",
                 command=["/toolbox", "exit", "7"], stdin=False, stdout=True, stderr=True,
                 tty=False, _preload_content=False)
session.run_forever(timeout=10)
print("code", session.returncode)
print("log", core.read_namespaced_pod_log("python", "default").strip())
core.patch_namespaced_pod("python", "default", {"metadata": {"labels": {"patched": "yes"}}})
print("patched", core.list_namespaced_pod("default", label_selector="patched=yes").items[0].metadata.name)
core.delete_namespaced_pod("python", "default")
for event in events.stream(core.list_namespaced_pod, "default", field_selector="metadata.name=python",
                           timeout_seconds=30):
    if event["type"] == "DELETED":
        break
try:
    core.read_namespaced_pod("python", "default")
except client.ApiException as error:
    print("gone", error.status, error.reason)
