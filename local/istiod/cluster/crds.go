package cluster

import (
	"fmt"

	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metadatafake "k8s.io/client-go/metadata/fake"

	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/gvr"
	kubelib "istio.io/istio/pkg/kube"
)

// gatewayBundle is the Gateway API version istiod is told is installed; it refuses kinds of older
// bundles. Keep it at the version of go.mod, which the schemas come from.
const gatewayBundle = "v1.6.0"

// installCRDs tells istiod's CRD watcher that everything it can read is there. Inference and
// multi-cluster services are not: nothing on one machine provides them.
func installCRDs(client kubelib.Client) error {
	fake, ok := client.Metadata().(*metadatafake.FakeMetadataClient)
	if !ok {
		return fmt.Errorf("unexpected metadata client %T", client.Metadata())
	}
	crds, ok := fake.Resource(gvr.CustomResourceDefinition).(metadatafake.MetadataClient)
	if !ok {
		return fmt.Errorf("the fake metadata client cannot create objects")
	}
	for _, s := range collections.All.All() {
		if s.IsBuiltin() || !customGroup(s.Group()) {
			continue
		}
		annotations := map[string]string{}
		if !(kindInfo{schema: s, gvk: kindsByResource[s.GroupVersionResource().GroupResource()].gvk}).istio() {
			annotations["gateway.networking.k8s.io/bundle-version"] = gatewayBundle
			annotations["gateway.networking.k8s.io/channel"] = "experimental"
		}
		r := s.GroupVersionResource()
		_, err := crds.CreateFake(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Name: r.Resource + "." + r.Group, Annotations: annotations,
		}}, metav1.CreateOptions{})
		if err != nil && !kerrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}
