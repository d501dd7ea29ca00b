package quota_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/quota"
)

// books are the limits and the usage of every organisation.
type books struct {
	limits core.OrgLimits
	usage  core.OrgUsage
}

func (b *books) OrgLimits(context.Context, string) (core.OrgLimits, error) { return b.limits, nil }
func (b *books) OrgUsage(context.Context, string) (core.OrgUsage, error)   { return b.usage, nil }

// stopped is a clock that stands still.
type stopped struct{ core.SystemClock }

func (stopped) Now() time.Time { return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) }

// A sync that is tried again since its limit was raised comes at once, and must not fail
// by the former limit: the next attempt would be minutes away.
func TestService_raisedLimitCountsAtOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		check func(*quota.Service) error
		kind  core.Kind
	}{
		"room":     {func(s *quota.Service) error { return s.CheckRoom(t.Context(), "acme") }, core.KindTooLarge},
		"create":   {func(s *quota.Service) error { return s.CheckCreate(t.Context(), "acme") }, core.KindPermission},
		"undelete": {func(s *quota.Service) error { return s.CheckUndelete(t.Context(), "acme") }, core.KindPermission},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &books{core.OrgLimits{Repositories: 2, DiskBytes: 10}, core.OrgUsage{Repositories: 2, DiskBytes: 10}}
			s := quota.New(b, stopped{})
			require.Equal(t, tc.kind, core.KindOf(tc.check(s)))
			b.limits = core.OrgLimits{Repositories: 3, DiskBytes: 11}
			require.NoError(t, tc.check(s))
			b.usage = core.OrgUsage{Repositories: 3, DiskBytes: 11}
			require.Equal(t, tc.kind, core.KindOf(tc.check(s)))
			b.limits = core.OrgLimits{}
			require.NoError(t, tc.check(s))
		})
	}
}
