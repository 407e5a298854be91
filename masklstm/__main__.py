import sys

from masklstm.cli import main

sys.exit(main())
