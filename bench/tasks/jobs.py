"""The thirty jobs that the built-in model is judged by."""

from bench.tasks.file_jobs import FILE_JOBS
from bench.tasks.table_jobs import TABLE_JOBS
from bench.tasks.task import Task

JOBS: tuple[Task, ...] = TABLE_JOBS + FILE_JOBS
