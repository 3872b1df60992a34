package feed

const (
	// maxLine bounds one line, so that a peer gone wrong cannot take all memory. A thousand services with
	// their pods and slices are about 8 MiB; etcd takes 1.5 MiB per object.
	maxLine = 64 << 20

	// maxQueued bounds what waits for a peer that does not read. Reaching it ends the conversation:
	// dropping an event would leave the two sides disagreeing for good.
	maxQueued = 1 << 17
)
