"""A campaign against masklstm: very many random and hostile cases, which anybody can repeat.

    make campaign                                  all parts, an hour on two cores
    make campaign CASES=10                         ten times as many cases
    python -m campaign --help                      in tests/: single parts, seeds, a record

A case is drawn from its part and a seed alone, so every number in a report can be drawn again.
Cases run in processes of their own: a crash is a finding like any other.
"""
