package kubelet

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// reportStatus writes the pod's status whenever it changed.
func (p *pod) reportStatus() {
	p.changed()
	var sent string
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-p.kick:
		}
		patch, err := json.Marshal(map[string]any{"status": p.status()})
		if err != nil || string(patch) == sent {
			continue
		}
		// A merge patch: a strategic one would append to podIPs and be refused.
		_, err = p.k.client.CoreV1().Pods(p.api.Namespace).Patch(p.ctx, p.api.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil {
			time.AfterFunc(time.Second, p.changed)
			continue
		}
		sent = string(patch)
	}
}

// tally is what the containers' states add up to.
type tally struct {
	seen, ready, failed bool
	mains, ended        int
}

func (p *pod) status() v1.PodStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := v1.PodStatus{Phase: v1.PodPending, HostIP: p.k.node.IP, HostIPs: []v1.HostIP{{IP: p.k.node.IP}}, StartTime: &p.begin, Message: p.trouble}
	if p.net != nil || p.api.Spec.HostNetwork { // not before: istio-cni takes a pod with an address for one with a network
		s.PodIP, s.PodIPs = p.ip, []v1.PodIP{{IP: p.ip}}
	}
	t := tally{seen: len(p.containers) > 0, ready: len(p.containers) > 0}
	for _, c := range p.containers {
		st := c.status()
		if c.init {
			s.InitContainerStatuses = append(s.InitContainerStatuses, st)
		} else {
			s.ContainerStatuses = append(s.ContainerStatuses, st)
		}
		t.count(c)
	}
	if !t.seen {
		s.ContainerStatuses = p.waiting()
	}
	s.Phase = t.phase(p.initEnd)
	for _, c := range []struct {
		kind  v1.PodConditionType
		holds bool
	}{{v1.PodScheduled, true}, {v1.PodReadyToStartContainers, t.seen}, {v1.PodInitialized, p.initEnd},
		{v1.ContainersReady, t.ready}, {v1.PodReady, t.ready}} {
		s.Conditions = append(s.Conditions, p.condition(c.kind, c.holds))
	}
	p.last = s
	return s
}

func (t *tally) count(c *container) {
	switch {
	case c.sidecar():
		t.ready = t.ready && c.ready
	case c.init:
		t.failed = t.failed || c.final && c.last.code != 0
	default:
		t.mains++
		t.ready = t.ready && c.ready
		if c.final {
			t.ended++
			t.failed = t.failed || c.last.code != 0
		}
	}
}

func (t tally) phase(initEnd bool) v1.PodPhase {
	switch {
	case t.seen && t.failed && (t.ended == t.mains || !initEnd):
		return v1.PodFailed
	case t.seen && t.ended == t.mains && t.mains > 0:
		return v1.PodSucceeded
	case t.seen && initEnd:
		return v1.PodRunning
	}
	return v1.PodPending
}

// status is a container's part; pod.mu is held.
func (c *container) status() v1.ContainerStatus {
	up := c.up
	st := v1.ContainerStatus{Name: c.c.Name, Image: c.c.Image, ImageID: "process", ContainerID: "process://" + filepath.Base(c.spec.Cgroup),
		Ready: c.ready, Started: &up, RestartCount: int32(max(0, c.exits-1))}
	over := &v1.ContainerStateTerminated{ExitCode: int32(c.last.code), Reason: "Completed", StartedAt: c.last.began, FinishedAt: c.last.ended}
	if c.last.code != 0 {
		over.Reason = "Error"
	}
	switch {
	case c.pid > 0:
		st.RestartCount = int32(c.exits)
		st.State.Running = &v1.ContainerStateRunning{StartedAt: c.since}
		if c.exits > 0 {
			st.LastTerminationState.Terminated = over
		}
	case c.final:
		st.State.Terminated = over
		st.Ready = c.init && !c.sidecar() && c.last.code == 0
	case c.exits > 0:
		st.State.Waiting = &v1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: fmt.Sprintf("exit status %d", c.last.code)}
		st.LastTerminationState.Terminated = over
	default:
		st.State.Waiting = &v1.ContainerStateWaiting{Reason: "ContainerCreating"}
	}
	return st
}

// waiting describes the containers of a pod that has not got so far.
func (p *pod) waiting() (out []v1.ContainerStatus) {
	for _, c := range p.api.Spec.Containers {
		w := v1.ContainerStateWaiting{Reason: "ContainerCreating", Message: p.trouble}
		out = append(out, v1.ContainerStatus{Name: c.Name, Image: c.Image, State: v1.ContainerState{Waiting: &w}})
	}
	return out
}

// condition keeps the time of the last change as long as the status stays.
func (p *pod) condition(kind v1.PodConditionType, holds bool) v1.PodCondition {
	c := v1.PodCondition{Type: kind, Status: v1.ConditionFalse, LastTransitionTime: metav1.Now()}
	if holds {
		c.Status = v1.ConditionTrue
	}
	for _, l := range p.last.Conditions {
		if l.Type == kind && l.Status == c.Status {
			c.LastTransitionTime = l.LastTransitionTime
		}
	}
	return c
}
