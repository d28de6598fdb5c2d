"""The half that runs in the sandbox: files of any kind to pages of text. Trusted by nobody."""
