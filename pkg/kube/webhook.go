package kube

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
)

// WebhookPatience is what a webhook is given to begin again, on another node at
// worst: some seconds for a pod whose image is there, and as much again.
const WebhookPatience = 30 * time.Second

const webhookPoll = 500 * time.Millisecond

// UntilWebhookAnswers repeats try while the API server can not reach an admission
// or conversion webhook, until patience is over: that is normal for some seconds
// after its installation, and while its pod moves to another node. try runs at
// least once, and changes nothing of the cluster when a webhook is out of reach.
// The error is that of the last try.
func UntilWebhookAnswers(ctx context.Context, patience time.Duration, try func(context.Context) error) error {
	var last error
	// The limit is for the pauses: no request is cut off by it.
	err := wait.PollUntilContextTimeout(ctx, webhookPoll, max(patience, time.Millisecond), true,
		func(context.Context) (bool, error) {
			last = try(ctx)
			if isWebhookUnreachable(last) {
				return false, nil
			}
			return true, last
		})
	if wait.Interrupted(err) && last != nil {
		return last
	}
	return err
}

// isWebhookUnreachable recognizes the API server's report that calling a
// webhook failed, as opposed to the webhook saying no. The message is the only
// place that tells.
func isWebhookUnreachable(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == http.StatusInternalServerError &&
		(strings.Contains(status.Status().Message, "failed calling webhook") ||
			strings.Contains(status.Status().Message, "conversion webhook"))
}
