"""What the scripts share: flags made from dataclasses, logging, exit codes. Only top-level files import it."""
