package kubelet

import (
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestExpand(t *testing.T) {
	env := map[string]string{"A": "x", "B_1": "y"}
	for in, want := range map[string]string{
		"$(A)/$(B_1)": "x/y", "$(NONE)": "$(NONE)", "$$(A)": "$(A)", "$A": "$A", "plain": "plain", "": "",
	} {
		if got := expand(in, env); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestArgvOf(t *testing.T) {
	env := map[string]string{"NAME": "n"}
	for name, c := range map[string]struct {
		image Image
		pod   v1.Container
		want  []string
	}{
		"the table's command replaces the pod's, arguments follow": {
			Image{Cmd: []string{"/p"}}, v1.Container{Command: []string{"/c"}, Args: []string{"--x", "$(NAME)"}}, []string{"/p", "--x", "n"}},
		"an entry point yields to the pod's command": {
			Image{Entry: []string{"/e"}}, v1.Container{Command: []string{"/c", "$(NAME)"}}, []string{"/c", "n"}},
		"an entry point without one runs": {Image{Entry: []string{"/e"}}, v1.Container{Args: []string{"a"}}, []string{"/e", "a"}},
		"nothing":                         {Image{}, v1.Container{}, []string{}},
	} {
		if got := argvOf(&c.pod, &c.image, env); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestResourceOfRoundsUp(t *testing.T) {
	c := &v1.Container{Resources: v1.ResourceRequirements{Limits: v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("1500m"), v1.ResourceMemory: resource.MustParse("1Gi")}}}
	for _, k := range []struct{ field, unit, want string }{
		{"limits.cpu", "1", "2"}, {"limits.cpu", "1m", "1500"}, {"limits.memory", "1Mi", "1024"}, {"limits.memory", "0", "1073741824"},
	} {
		got := resourceOf(c, &v1.ResourceFieldSelector{Resource: k.field, Divisor: resource.MustParse(k.unit)})
		if got != k.want {
			t.Errorf("%s in %s: got %s, want %s", k.field, k.unit, got, k.want)
		}
	}
}
