package cluster

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// TokenReviewer decides a TokenReview. bound tells whether a pod of that name and uid exists: a token
// bound to a pod dies with it.
type TokenReviewer interface {
	Review(token string, audiences []string, bound func(namespace, pod, uid string) bool) authenticationv1.TokenReviewStatus
}

// answerReviews answers the two questions istiod asks an API server instead of reading objects.
func (c *Cluster) answerReviews() {
	kube := c.client.Kube().(fakeClientset)
	kube.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		review.Status = c.options.Tokens.Review(review.Spec.Token, review.Spec.Audiences, c.podExists)
		return true, review, nil
	})
	// May this proxy's service account read Secrets (gateway TLS)? A gateway's own account may, by
	// the Role its deployment controller makes; there are no Roles here and one user owns the machine.
	kube.PrependReactor("create", "subjectaccessreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &authorizationv1.SubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}}, nil
	})
}

func (c *Cluster) podExists(namespace, name, uid string) bool {
	pod := c.Get(Key{Kind: "Pod", Namespace: namespace, Name: name})
	return pod != nil && string(pod.GetUID()) == uid
}
