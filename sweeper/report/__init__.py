"""What was learnt: a report computed from tracked runs alone. Same runs in, same bytes out.

`sweeper.report.write.write_report` is the way in. For every table and figure one function gathers the data (`gather_`)
and one draws it (`draw_`); a section is one function from a `StudyData` to blocks.
"""
