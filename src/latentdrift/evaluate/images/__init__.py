"""Images to judge: sets on disk, their subgroups, registration, and real images ruined on
purpose."""
