package cluster

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/json"

	"istio.io/istio/pilot/pkg/config/kube/crdclient"
	kubelib "istio.io/istio/pkg/kube"

	"fairway.dev/local/istiod/schema"
)

// Violation is one reason to refuse an object, and the field it is about.
type Violation = schema.Violation

// admit fills in o's defaults and makes the checks of an API server and of istiod's validating
// webhook. The checks Kubernetes makes of its own kinds, beyond unknown fields and types, are not
// among them: who applies those (fairway) has already acted on them.
func admit(info kindInfo, o, old *unstructured.Unstructured) (warning string, violations []Violation) {
	if !info.custom() {
		return "", strictDecode(info, o)
	}
	kind, err := schema.For(o.GroupVersionKind())
	if err != nil {
		return "", []Violation{{Message: err.Error()}}
	}
	if kind == nil {
		return "", []Violation{{Field: "apiVersion", Message: fmt.Sprintf("no kind %q in %q", o.GetKind(), o.GetAPIVersion())}}
	}
	var before map[string]any
	if old != nil {
		before = old.Object
	}
	if violations := kind.Admit(o.Object, before); len(violations) > 0 {
		return "", violations
	}
	if info.istio() {
		return webhook(info, o)
	}
	return "", nil
}

// webhook asks the code behind istiod's ValidatingWebhookConfiguration.
func webhook(info kindInfo, o *unstructured.Unstructured) (warning string, violations []Violation) {
	stored := o.DeepCopy()
	stored.SetGroupVersionKind(info.gvk)
	typed, err := toTyped(info, stored)
	if err != nil {
		return "", []Violation{{Field: "spec", Message: err.Error()}}
	}
	cfg := crdclient.TranslateObject(typed, info.schema.GroupVersionKind(), "cluster.local")
	warn, err := info.schema.ValidateConfig(cfg)
	if warn != nil {
		warning = warn.Error()
	}
	if err != nil {
		violations = []Violation{{Field: "spec", Message: oneLine(err.Error())}}
	}
	return warning, violations
}

// oneLine undoes the list layout Istio prints several errors in.
func oneLine(message string) string {
	parts := strings.FieldsFunc(message, func(r rune) bool { return r == '\n' || r == '\t' })
	for i := range parts {
		parts[i] = strings.TrimPrefix(strings.TrimSpace(parts[i]), "* ")
	}
	return strings.TrimSpace(strings.Join(parts, "; "))
}

var quoted = regexp.MustCompile(`unknown field "([^"]+)"|duplicate field "([^"]+)"`)

// strictDecode is the API server's strict field validation of a built-in kind.
func strictDecode(info kindInfo, o *unstructured.Unstructured) []Violation {
	text, err := o.MarshalJSON()
	if err != nil {
		return []Violation{{Message: err.Error()}}
	}
	typed, err := kubelib.IstioScheme.New(info.gvk)
	if err != nil {
		return []Violation{{Message: err.Error()}}
	}
	strict, err := json.UnmarshalStrict(text, typed)
	if err != nil {
		return []Violation{{Message: err.Error()}}
	}
	var violations []Violation
	for _, e := range strict {
		v := Violation{Message: e.Error()}
		if m := quoted.FindStringSubmatch(e.Error()); m != nil {
			v = Violation{Field: m[1] + m[2], Message: strings.SplitN(e.Error(), ` "`, 2)[0]}
		}
		violations = append(violations, v)
	}
	return violations
}
