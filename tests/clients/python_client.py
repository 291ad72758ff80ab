#!/usr/bin/env python3
"""The official Python client against a running server: typed, dynamic, patches, and a watch that is resumed.

  python_client.py KUBECONFIG
"""
import sys
import threading

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException

NAMESPACE = "python"


def expect(condition, message):
    if not condition:
        sys.exit("python client: " + str(message))


def fails(status, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except ApiException as e:
        expect(e.status == status, "want %d, got %d: %s" % (status, e.status, e.body))
        return e
    expect(False, "want %d, but it succeeded" % status)


def typed(core, apps):
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))
    made = core.create_namespaced_config_map(
        NAMESPACE, client.V1ConfigMap(metadata=client.V1ObjectMeta(generate_name="made-"), data={"a": "1"}))
    expect(made.metadata.name.startswith("made-") and made.metadata.uid, made)
    read = core.read_namespaced_config_map(made.metadata.name, NAMESPACE)
    expect(read.data == {"a": "1"}, read)

    read.data["b"] = "2"
    new = core.replace_namespaced_config_map(made.metadata.name, NAMESPACE, read)
    expect(int(new.metadata.resource_version) > int(made.metadata.resource_version), "versions grow")
    fails(409, core.replace_namespaced_config_map, made.metadata.name, NAMESPACE, read)
    fails(404, core.read_namespaced_config_map, "nothing", NAMESPACE)
    fails(422, core.create_namespaced_config_map, NAMESPACE,
          client.V1ConfigMap(metadata=client.V1ObjectMeta(name="Not_A_Name")))

    labels = {"app": "web"}
    apps.create_namespaced_deployment(NAMESPACE, client.V1Deployment(
        metadata=client.V1ObjectMeta(name="web"),
        spec=client.V1DeploymentSpec(
            replicas=2, selector=client.V1LabelSelector(match_labels=labels),
            template=client.V1PodTemplateSpec(
                metadata=client.V1ObjectMeta(labels=labels),
                spec=client.V1PodSpec(containers=[client.V1Container(name="web", image="nginx:1.27")])))))
    patched = apps.patch_namespaced_deployment("web", NAMESPACE, {
        "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:1.28"}]}}}})
    expect(patched.spec.template.spec.containers[0].image == "nginx:1.28", patched)
    patched = apps.patch_namespaced_deployment("web", NAMESPACE, [{"op": "replace", "path": "/spec/replicas", "value": 4}])
    expect(patched.spec.replicas == 4, patched)
    scaled = apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 6}})
    expect(scaled.spec.replicas == 6, scaled)
    status = apps.patch_namespaced_deployment_status("web", NAMESPACE, {"status": {"replicas": 6, "readyReplicas": 5}})
    expect(status.status.ready_replicas == 5 and status.spec.replicas == 6, status)

    page = core.list_namespaced_config_map(NAMESPACE, limit=1)
    for i in range(4):
        core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="page-%d" % i)))
    names, token = [], None
    while True:
        page = core.list_namespaced_config_map(NAMESPACE, limit=2, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
    # The namespace has one of its own, too.
    mine = [name for name in names if name != "kube-root-ca.crt"]
    expect(len(mine) == 5 and names == sorted(names), names)


def dynamically(api):
    dyn = dynamic.DynamicClient(api)
    jobs = dyn.resources.get(api_version="batch/v1", kind="CronJob")
    container = {"name": "c", "image": "busybox"}
    body = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": {
        "schedule": "* * * * *",
        "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}}}}
    made = jobs.create(body=body, namespace=NAMESPACE)
    expect(made.spec.concurrencyPolicy == "Allow", made)
    merged = jobs.patch(body={"metadata": {"name": "tick"}, "spec": {"suspend": True}}, namespace=NAMESPACE,
                        content_type="application/merge-patch+json")
    expect(merged.spec.suspend is True, merged)
    expect([j.metadata.name for j in jobs.get(namespace=NAMESPACE).items] == ["tick"], "list")
    jobs.delete(name="tick", namespace=NAMESPACE)


def watched(core):
    """Every change is seen once and in order, across a watch that ends and one that goes on from its last version."""
    count, start = 40, core.list_namespaced_secret(NAMESPACE).metadata.resource_version
    started = threading.Event()

    def write():
        started.wait()
        for i in range(count):
            core.create_namespaced_secret(NAMESPACE, client.V1Secret(metadata=client.V1ObjectMeta(name="s-%02d" % i)))

    writer = threading.Thread(target=write)
    writer.start()
    started.set()
    seen, version = [], start
    while len(seen) < count:
        source = watch.Watch()
        for event in source.stream(core.list_namespaced_secret, NAMESPACE, resource_version=version, timeout_seconds=20):
            meta = event["object"].metadata
            expect(event["type"] == "ADDED", event["type"])
            expect(int(meta.resource_version) > int(version), "versions grow along a watch")
            version = meta.resource_version
            seen.append(meta.name)
            if len(seen) % 7 == 0 or len(seen) == count:  # leave, and come back where we were
                source.stop()
    writer.join()
    expect(seen == ["s-%02d" % i for i in range(count)], seen)


def main():
    config.load_kube_config(sys.argv[1])
    core, apps = client.CoreV1Api(), client.AppsV1Api()
    typed(core, apps)
    dynamically(core.api_client)
    watched(core)
    core.delete_namespace(NAMESPACE)
    version = client.VersionApi().get_code()
    print("python client %s against %s: ok" % (client.__version__, version.git_version))


main()
