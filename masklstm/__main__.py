import sys

from _masklstm_command import main

sys.exit(main())
