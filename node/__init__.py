"""Everything that talks to the hospital, and the service that ties the rooms together."""
