"""What the add-on may import: messages, requests, and the client of the backend process. Needs only numpy."""
