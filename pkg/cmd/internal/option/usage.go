package option

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// UsageError reports a command line that is wrong in itself: an unknown verb or
// flag, a wrong number of arguments, or a value that a flag does not accept. The
// process exits with 2 for it.
type UsageError struct {
	err error
}

func (e *UsageError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *UsageError) Unwrap() error { return e.err }

// Usage marks err as a UsageError. It returns nil for nil.
func Usage(err error) error {
	var usage *UsageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	return &UsageError{err}
}

// Usagef formats a UsageError as fmt.Errorf does.
func Usagef(format string, args ...any) error {
	return &UsageError{fmt.Errorf(format, args...)}
}

// OneOfError reports a value that is none of the allowed ones.
type OneOfError struct {
	Value   string
	Allowed []string
}

func (e *OneOfError) Error() string {
	if len(e.Allowed) == 1 {
		return fmt.Sprintf("is %s, not %q", e.Allowed[0], e.Value)
	}
	return fmt.Sprintf("is one of %s, not %q", strings.Join(e.Allowed, ", "), e.Value)
}

// OneOf returns a UsageError unless value is one of allowed.
func OneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return Usagef("--%s %w", flag, &OneOfError{value, allowed})
}
