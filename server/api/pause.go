package api

// pause has the upstream left alone. It takes the pushes of all others away.
func (s *server) pause(c *call) (err error) {
	if err := mayPushEverything(c, "pause the mirror"); err != nil {
		return err
	}
	if c.repo, err = s.Repositories.Pause(c.ctx(), c.repo); err != nil {
		return err
	}
	return s.getRepository(c)
}

// resume has it followed again.
func (s *server) resume(c *call) (err error) {
	if c.repo, err = s.Repositories.Resume(c.ctx(), c.repo); err != nil {
		return err
	}
	return s.getRepository(c)
}
