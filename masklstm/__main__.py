import sys

from masklstm.commands.main import main

sys.exit(main())
