package host

import (
	"context"
	"errors"

	"github.com/headwater-git/headwater/providers"
)

// CheckBlock refuses an attribute of the instance's block that its provider does not
// have, or that is of another type. One that is missing is not refused: a provider
// that lacks its configuration exists, and says what it lacks when it is used. An
// external plugin is launched to learn what it has; one that cannot be launched is no
// fault of its block. Errors: [providers.CodeInvalidConfig].
func (i *Instance) CheckBlock(ctx context.Context) error {
	if s := string(i.block.Attributes); s == "" || s == "{}" {
		return nil // whatever it is, there is nothing to misspell
	}
	m, err := i.Manifest(ctx)
	if err != nil {
		i.log.Warn("the attributes of a block cannot be checked now", "error", i.tail.redact.clean(err.Error()))
		return nil
	}
	if err := i.block.CheckAttributes(withoutRequired(m)); err != nil {
		return providers.Errorf(providers.CodeInvalidConfig, "%v", err)
	}
	return nil
}

// CheckBlocks checks the blocks of all instances, see [Instance.CheckBlock], so that a
// misspelt attribute is found at the start and not when a repository needs it. All
// faults are in one error.
func (c *Catalog) CheckBlocks(ctx context.Context) error {
	return checkBlocks(ctx, c.set.Load().instances)
}

func checkBlocks(ctx context.Context, instances []*Instance) error {
	var faults []error
	for _, i := range instances {
		if err := i.CheckBlock(ctx); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return &providers.Error{Code: providers.CodeInvalidConfig, Message: errors.Join(faults...).Error()}
}
