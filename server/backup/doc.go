// Package backup copies the data directory of a running server, and brings such a
// copy back.
//
// A backup is a folder of its own for each run, named by its time, below the folder
// that the operator gives:
//
//	20261129T205000Z/
//	    backup.json          what is in it, see [Manifest]; written last
//	    headwater.db         the database at one moment
//	    keys.age             keys/ and tls/ as a tar archive, encrypted; only if asked for
//	    repos/ID.git/        HEAD, config, headwater.json, refs and objects
//	    lfs/objects/ab/cd/   LFS objects of these repositories, by their ids
//
// Each is whole by itself. Files that never change (packs, loose objects) are hard
// links to the data directory if it is on the same disk, else to the backup before, and
// copied only if they are new.
//
// The refs of all repositories and the database are of one moment: the command asks the
// server, by a socket in the data directory, to hold the write and maintenance locks of
// all repositories ([Gate]), fixes the state of the database, links refs aside, and lets
// writers go on; then it links objects, lets maintenance go on, and copies at leisure.
// So writers wait for as long as it takes to link the refs, which is milliseconds for
// hundreds of repositories. If the command dies the locks go with its connection.
package backup
