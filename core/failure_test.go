package core

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestErrorClass_Describe_noCredential: where none is stored, none was refused.
func TestErrorClass_Describe_noCredential(t *testing.T) {
	t.Parallel()
	const hidden = "git.example.org has no public repository ann/app; if it is private, store a credential for it"
	require.Equal(t, hidden, ClassAuth.Describe("Unauthorized; "+hidden))
	require.Equal(t, hidden, ClassAuth.Describe(hidden))
	require.Equal(t, "upstream refused the credential: Unauthorized", ClassAuth.Describe("Unauthorized"))
}
