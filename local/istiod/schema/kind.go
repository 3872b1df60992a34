package schema

import (
	"context"
	"encoding/json"
	"regexp"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// Violation is one reason to refuse an object, and the field it is about.
type Violation struct{ Field, Message string }

// Kind is one compiled version of a custom resource.
type Kind struct {
	structural *schema.Structural
	openAPI    validation.SchemaValidator
	rules      *cel.Validator
}

func compile(text json.RawMessage) (*Kind, error) {
	var v1 apiextensionsv1.JSONSchemaProps
	if err := json.Unmarshal(text, &v1); err != nil {
		return nil, err
	}
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&v1, &props, nil); err != nil {
		return nil, err
	}
	openAPI, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		return nil, err
	}
	structural, err := schema.NewStructural(&props)
	if err != nil {
		return nil, err
	}
	return &Kind{structural, openAPI, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// Admit fills in obj's defaults and returns what is wrong with it. old is the version it replaces, or
// nil: transition rules compare the two. An object with violations is left half-defaulted: drop it.
func (k *Kind) Admit(obj, old map[string]any) []Violation {
	if unknown := k.unknownFields(obj); len(unknown) > 0 {
		return unknown
	}
	defaulting.Default(obj, k.structural)
	errs := validation.ValidateCustomResource(nil, obj, k.openAPI)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, k.structural, obj)...)
	// As in the API server, CEL rules run only on objects of the right shape.
	if len(errs) == 0 && k.rules != nil {
		var before any
		if old != nil {
			before = old
		}
		errs, _ = k.rules.Validate(context.Background(), nil, k.structural, obj, before, celconfig.RuntimeCELCostBudget)
	}
	return violations(errs)
}

// unknownFields is the API server's strict field validation (kubectl's default): it refuses what it
// would otherwise drop in silence.
func (k *Kind) unknownFields(obj map[string]any) []Violation {
	copied := runtime.DeepCopyJSON(obj)
	paths := pruning.PruneWithOptions(copied, k.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	out := make([]Violation, 0, len(paths))
	for _, p := range paths {
		out = append(out, Violation{Field: p, Message: "unknown field"})
	}
	return out
}

// nilRoot is how field.Path prints a path that starts at an index or at nothing.
var nilRoot = regexp.MustCompile(`^<nil>\.?`)

func violations(errs field.ErrorList) []Violation {
	out := make([]Violation, 0, len(errs))
	for _, e := range errs {
		out = append(out, Violation{Field: nilRoot.ReplaceAllString(e.Field, ""), Message: e.ErrorBody()})
	}
	return out
}
