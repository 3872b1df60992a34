// Package feed is the conversation with whoever plays the user and the controllers (fairway): one JSON
// object per line, both ways, over one unix stream connection.
//
//	in   {"id":7,"apply":[OBJECT…],"delete":[{"apiVersion","kind","namespace","name"}…]}
//	out  {"id":7,"rejected":[{"apiVersion","kind","namespace","name","field","message"}…],"warnings":[…]}
//	     {"id":7,"error":"…"}                                 the line itself was unusable: nothing applied
//	     {"event":"ready","rootCert":"PEM"}                   xDS and CA accept connections
//	     {"event":"changed","object":OBJECT}                  istiod wrote this object
//	     {"event":"removed","apiVersion","kind","namespace","name"}
//
// An OBJECT is the whole desired state of that object. The first good line starts istiod: what it
// holds is there before istiod looks. The conversation ends when the peer closes its side.
// Invariant: events come in the order of the writes, and a reply after everything its line stored.
package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fairway.dev/local/istiod/cluster"
)

type request struct {
	ID     int64                        `json:"id"`
	Apply  []*unstructured.Unstructured `json:"apply"`
	Delete []reference                  `json:"delete"`
}

type reference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
}

func (r reference) key() (cluster.Key, error) {
	gv, err := schema.ParseGroupVersion(r.APIVersion)
	if err != nil {
		return cluster.Key{}, err
	}
	if r.APIVersion == "" || r.Kind == "" || r.Name == "" {
		return cluster.Key{}, fmt.Errorf("delete: apiVersion, kind and name are required, got %+v", r)
	}
	return cluster.Key{Group: gv.Group, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}, nil
}

type reply struct {
	ID       int64               `json:"id"`
	Rejected []cluster.Rejection `json:"rejected"`
	Warnings []string            `json:"warnings"`
}

type failure struct {
	ID    int64  `json:"id"`
	Error string `json:"error"`
}

type readyEvent struct {
	Event    string `json:"event"`
	RootCert string `json:"rootCert"`
}

type changedEvent struct {
	Event  string                     `json:"event"`
	Object *unstructured.Unstructured `json:"object"`
}

type removedEvent struct {
	Event string `json:"event"`
	reference
}

// parse reads one line. On an error the id is still returned where it could be read.
func parse(line []byte) (request, error) {
	var r request
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		var id struct{ ID int64 }
		_ = json.Unmarshal(line, &id)
		return request{ID: id.ID}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("more than one JSON value on the line")
	}
	if n := max(len(r.Apply), len(r.Delete)); n > cluster.MaxObjects {
		return r, fmt.Errorf("%d objects on one line, at most %d are taken", n, cluster.MaxObjects)
	}
	for i, o := range r.Apply {
		if o == nil {
			return r, fmt.Errorf("apply[%d] is null", i)
		}
	}
	return r, nil
}
