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

// WebhookPatience is how long a webhook may take to restart, possibly on another
// node: a few seconds for a pod whose image is present, and as much again.
const WebhookPatience = 30 * time.Second

const webhookPoll = 500 * time.Millisecond

// UntilWebhookAnswers repeats try while the API server cannot reach an admission or
// conversion webhook, for at most patience. That is normal for some seconds after
// its installation, and while its pod moves to another node. try runs at least once.
// A request changes nothing if its webhook is unreachable. The error is that of the
// last try.
func UntilWebhookAnswers(ctx context.Context, patience time.Duration, try func(context.Context) error) error {
	var last error
	// The limit applies to the pauses; it cancels no request.
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

// isWebhookUnreachable reports whether the API server failed to call a webhook, as
// opposed to a webhook that denies. Only the message shows the difference.
func isWebhookUnreachable(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == http.StatusInternalServerError &&
		(strings.Contains(status.Status().Message, "failed calling webhook") ||
			strings.Contains(status.Status().Message, "conversion webhook"))
}
