#!/usr/bin/env python3
"""kr8s against a running server: the calls that an operator written with it makes.

  kr8s_client.py KUBECONFIG
"""
import asyncio
import sys

import kr8s.asyncio
from kr8s.asyncio.objects import ConfigMap, Deployment, Namespace


async def main():
    api = await kr8s.asyncio.api(kubeconfig=sys.argv[1])
    version = await api.version()
    namespace = await Namespace({"metadata": {"name": "kr8s"}}, api=api)
    await namespace.create()

    notes = await ConfigMap({"metadata": {"name": "notes", "namespace": "kr8s"}, "data": {"a": "1"}}, api=api)
    await notes.create()
    await notes.patch({"data": {"b": "2"}})
    await notes.label(stage="draft")
    await notes.annotate({"example.com/owner": "jane"})
    await notes.refresh()
    assert notes.data == {"a": "1", "b": "2"}, notes.raw
    assert notes.labels["stage"] == "draft", notes.raw

    labels = {"app": "web"}
    web = await Deployment({
        "metadata": {"name": "web", "namespace": "kr8s"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}},
    }, api=api)
    await web.create()
    await web.patch({"spec": {"replicas": 3}})
    assert web.replicas == 3, web.raw

    found = [cm.name async for cm in api.get("configmaps", namespace="kr8s", label_selector={"stage": "draft"})]
    assert found == ["notes"], found

    async def watch():
        async for event, cm in api.watch("configmaps", namespace="kr8s"):
            if event == "ADDED" and cm.name == "last":
                return cm

    watching = asyncio.create_task(watch())
    last = await ConfigMap({"metadata": {"name": "last", "namespace": "kr8s"}}, api=api)
    await last.create()
    await asyncio.wait_for(watching, 30)
    await last.delete()
    assert not await last.exists()
    await namespace.delete()
    print("kr8s %s against %s: ok" % (kr8s.__version__, version["gitVersion"]))


asyncio.run(main())
