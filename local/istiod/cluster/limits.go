package cluster

const (
	// kubernetesMinor is the Kubernetes version istiod is told of: 1.34. It decides by it whether
	// native features (ClusterTrustBundle, traffic distribution) may be used.
	kubernetesMinor = "34"

	// MaxObjects bounds one Apply or Delete. A real API server takes one object per request.
	MaxObjects = 8192

	// watchBuffer is the length of every watch channel (client-go: 100). Half of it may be filled by one
	// Apply, the other half by what istiod writes meanwhile.
	watchBuffer = 2 * MaxObjects
)
