package addons

import (
	"context"
	"encoding/json"
	"log"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corev1 "k8s.io/client-go/listers/core/v1"
)

// scheduler binds pods to nodes, one at a time; where to is place's decision.
type scheduler struct {
	client kubernetes.Interface
	nodes  corev1.NodeLister
	pods   corev1.PodLister
	kick   chan struct{}
	bound  map[types.UID]string // by us, as long as the cache does not show it
	told   map[types.UID]string // why a pod waits, as its status says it
}

func newScheduler(client kubernetes.Interface, nodes corev1.NodeLister, pods corev1.PodLister) *scheduler {
	return &scheduler{client: client, nodes: nodes, pods: pods, kick: make(chan struct{}, 1),
		bound: map[types.UID]string{}, told: map[types.UID]string{}}
}

func (s *scheduler) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// rescheduleEvery is when a pod that could not be bound is tried again, whatever happened meanwhile.
const rescheduleEvery = time.Second

func (s *scheduler) run(ctx context.Context) {
	tick := time.NewTicker(rescheduleEvery)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
		case <-tick.C:
		}
		if err := s.round(ctx); err != nil {
			log.Printf("scheduler: %v", err)
		}
	}
}

// round binds every pod that waits, oldest first.
func (s *scheduler) round(ctx context.Context) error {
	nodes, err := s.nodes.List(labels.Everything())
	if err != nil {
		return err
	}
	listed, err := s.pods.List(labels.Everything())
	if err != nil {
		return err
	}
	pods, pending := s.withBound(listed)
	slices.SortFunc(pending, older)
	for _, p := range pending {
		name, err := place(p, nodes, pods)
		if err != nil {
			s.tell(ctx, p, err.Error())
			continue
		}
		err = s.client.CoreV1().Pods(p.Namespace).Bind(ctx, &v1.Binding{ObjectMeta: metav1.ObjectMeta{Name: p.Name, UID: p.UID},
			Target: v1.ObjectReference{Kind: "Node", Name: name}}, metav1.CreateOptions{})
		if err != nil {
			if !errors.IsNotFound(err) && !errors.IsConflict(err) { // else it is gone, or the cache lags behind
				log.Printf("%s/%s: binding: %v", p.Namespace, p.Name, err)
			}
			continue
		}
		s.bound[p.UID] = name
		pods = append(pods, onNode(p, name))
	}
	return nil
}

// withBound is the cache's list with what it does not know yet, and the pods that still wait.
func (s *scheduler) withBound(listed []*v1.Pod) (pods, pending []*v1.Pod) {
	there := map[types.UID]bool{}
	for _, p := range listed {
		there[p.UID] = true
		name, ours := s.bound[p.UID]
		switch {
		case p.Spec.NodeName != "":
			delete(s.bound, p.UID)
			delete(s.told, p.UID)
			pods = append(pods, p)
		case ours:
			pods = append(pods, onNode(p, name))
		case p.DeletionTimestamp == nil && len(p.Spec.SchedulingGates) == 0 &&
			(p.Spec.SchedulerName == "" || p.Spec.SchedulerName == v1.DefaultSchedulerName):
			pending = append(pending, p)
		}
	}
	for _, m := range []map[types.UID]string{s.bound, s.told} {
		for uid := range m {
			if !there[uid] {
				delete(m, uid)
			}
		}
	}
	return pods, pending
}

func onNode(p *v1.Pod, name string) *v1.Pod {
	p = p.DeepCopy()
	p.Spec.NodeName = name
	return p
}

func older(a, b *v1.Pod) int {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	if a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name {
		return -1
	}
	return 1
}

// tell writes into a pod's status why it waits, once.
func (s *scheduler) tell(ctx context.Context, p *v1.Pod, why string) {
	if s.told[p.UID] == why {
		return
	}
	log.Printf("%s/%s waits: %s", p.Namespace, p.Name, why)
	patch, err := json.Marshal(map[string]any{"status": v1.PodStatus{Phase: v1.PodPending, Conditions: []v1.PodCondition{{Type: v1.PodScheduled,
		Status: v1.ConditionFalse, Reason: v1.PodReasonUnschedulable, Message: why, LastTransitionTime: metav1.Now()}}}})
	if err != nil {
		return
	}
	_, err = s.client.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err == nil {
		s.told[p.UID] = why
	}
}
