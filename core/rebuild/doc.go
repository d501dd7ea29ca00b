// Package rebuild finds repositories whose folder is missing or damaged, and puts
// a whole one in its place.
//
// # From a suspicion to a damage
//
// A suspicion comes from the look at all folders at the start, from what git says when
// it fails to read (core/git/hosterror has the words), from the rotation of core/maintain
// that reads the packs, and from a person. Nothing moves because of one. It is confirmed
// first: by what is missing of the folder, or by [git.Git.Verify], which has no ceiling
// of memory. What ran out of memory, files or processes is no suspicion and confirms
// none, so no reader causes a rebuild by what it asks for. A suspicion that was not
// confirmed is not looked at again for an hour.
//
// A damage is a row ([core.Damage]) before anything else happens, so that a crash leaves
// nothing without an account. Where many repositories are missing at once, more than
// three and more than a tenth, that looks like a disk which is not mounted: they wait
// until a person says go on, or the folders are there again.
//
// # The rebuild
//
// A repository with an upstream is rebuilt by its next sync (core/mirror), with the
// places, the pauses and the progress of every sync. Until the end nothing can be read
// or written (KindRebuilding). In order:
//
//  1. The upstream is fetched into a folder in tmp/, beside the damaged one.
//  2. What the old folder has beside that and can still be read is copied: the tips of
//     notes, ephemeral branches, kept, held and frozen refs, and of branches.
//  3. Under the write lock the old folder goes to quarantine/ID, if there is one, and the
//     new one takes its place. Nothing there is ever overwritten.
//  4. The refs of 2 are set, by [repo.Repos.Transact]. Those whose commits are not whole
//     are written down as lost, in the same SQL transaction, which ends the damage.
//  5. The sync goes on and follows the upstream from there, by the repository's policies.
//
// Who writes meanwhile is not waited for ([repo.Locker.BarWriters]): a rebuild would take
// as long as the slowest client. What was acknowledged has a ref, which 2 finds, again
// under the lock of 3. What had none yet has no objects in the new folder and is
// refused, or, if the upstream has it, comes with the next sync.
//
// Each step may be the last one before a crash: the next run begins anew, reads the old
// folder where it is then, and the marker file in the new one says that it has taken its
// place. A quarantined folder is removed two weeks after a rebuild that lost nothing,
// and by a person alone otherwise.
package rebuild
