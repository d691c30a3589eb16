"""Tables in: workbooks, column maps, cells, pseudonyms."""
